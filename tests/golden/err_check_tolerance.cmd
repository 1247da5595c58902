vramscope check run.tape --against plan.json --tolerance 0.02
