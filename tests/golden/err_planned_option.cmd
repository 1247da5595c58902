vramscope sim llama-2-7b --context 4096
