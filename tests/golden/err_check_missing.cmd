cd "$TMP" && vramscope check none.pickle --against plan.json
