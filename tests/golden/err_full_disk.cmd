vramscope sim llama-2-7b >/dev/full; echo $?; vramscope sim llama-2-7b --json - >/dev/full; echo $?; vramscope compare llama-2-7b --vary dtype=bf16,fp16 --json - >/dev/full; echo $?
