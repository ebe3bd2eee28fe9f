"""Drawings of an impact report: the network, the map, the timeline of stops and what is lost by week, as SVG.

Pure: each drawing is a function of a `Reading`, which holds what one report says and nothing else; the same report
gives the same bytes. No scripts, no references to elsewhere. The colours of paper are in the drawing itself; a page
may set others for the classes named after their roles (`canvas.ROLES`).
"""
