cd "$TMP" && echo "{\"format\":\"vramscope.scenario/1\",\"model\":\"llama-2-7b\",\"gpuu\":\"t4\"}" >s.json && vramscope sim --scenario s.json
