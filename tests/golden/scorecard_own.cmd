vramscope scorecard tests/data/scorecard.json --sources
