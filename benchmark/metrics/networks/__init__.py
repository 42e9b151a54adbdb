"""Feature networks in torch. Imported only when features are computed: the metric library itself does without torch."""
