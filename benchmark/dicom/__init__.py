"""From a hospital's DICOM tree to an edition in which nobody is named.

The volumes of an edition hold pixels and geometry alone, so a name cannot come along in a header; identity is looked for all the same,
since whoever hands over files that carry names is about to hand over more. Files that carry any are refused, or de-identified first.

    tree     which series lie below a folder, without their pixels
    mapping  which series becomes which socket of the task
    profile  what counts as identity: the table of DICOM PS3.15, Annex E
    deidentify  the profile applied to one dataset
    pseudonyms  names and UIDs that only the holder of a secret can make again
    people   what is kept of a patient: age band, sex, manufacturer, field strength
    burned_in   text in pixels: what headers say of it, and what pixels look like
    report   what was removed, by attribute and count, never by value
    importing   all of it, as a plan for `benchmark.dataset.prepare`
"""
