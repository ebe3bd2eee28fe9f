"""The page behind the code on a despatch note: what it shows, in which language, and who may answer there."""
