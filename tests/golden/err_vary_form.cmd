vramscope compare llama-2-7b --vary dtype
