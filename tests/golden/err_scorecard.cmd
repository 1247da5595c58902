vramscope scorecard --filter nobody; vramscope scorecard --source; vramscope scorecard --json; vramscope scorecard tests/data/none.json
