vramscope scorecard --help
