"""What a run of the fleets shows, as one page that needs nothing beside itself.

    charts   the plots, each a drawing in SVG
    page     the page around them: tables, plots, and the settings that made it

What is counted, and how, is `bench.fleet.figures`; how to read it, docs/bench.md.
"""
