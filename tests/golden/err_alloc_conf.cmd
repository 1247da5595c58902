vramscope sim llama-2-7b --alloc-conf expandable_segment:True
