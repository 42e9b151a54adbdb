"""Charts as inline SVG, made from numbers alone: no library, no script, colours by class so that both themes serve them."""
