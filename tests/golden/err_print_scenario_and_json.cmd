vramscope sim llama-2-7b --print-scenario --json -; vramscope sim llama-2-7b --print-scenario=off; vramscope sim llama-2-7b --no-async=on
