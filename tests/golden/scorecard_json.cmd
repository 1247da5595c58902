vramscope scorecard tests/data/scorecard.json --filter made\ up\ elsewhere --json -
