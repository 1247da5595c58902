vramscope check run.tape --against plan.json --axis bytes
