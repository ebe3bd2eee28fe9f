"""An impact report drawn and told: what its content says as values, as drawings, and as sentences and tables.

Pure: everything is a function of the content of one report; the same report gives the same bytes. Drawings are SVG
without scripts or references to elsewhere. The colours of paper are in the drawing itself; a page may set others for
the classes named after their roles (`canvas.ROLES`).
"""
