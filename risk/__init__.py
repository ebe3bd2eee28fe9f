"""What a disruption does to whom: the supply network, its propagation, time to survive, criticality. Pure.

`network` is who makes what of what, `propagation` walks an outage through it day by day, `survival` asks linear
programs for the least loss and what stock is worth, `criticality` ranks firms. `facts` makes the network of what
members have signed, `sharing` one reader's view of it, `confidence` says how sure that is, `assessment` is the report.
`screen`, `stress` and `mitigation` ask a reader's `outlook` what might happen and what could be done about it first,
`exposure` how long it survives without whom.
The shell brings plain records from the ledger; nothing here opens anything, asks a clock or knows `ledger_service`.
"""
