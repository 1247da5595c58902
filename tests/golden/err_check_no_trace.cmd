cd "$TMP" && echo 'not a trace' >some.txt && vramscope check some.txt --against plan.json
