vramscope sim llama-2-7b --ram 300MiB --fail-on-oom --json - | grep -E '"(verdict|oom|headline)"'; vramscope sim llama-2-7b --ram 300MiB --fail-on-oom | head -n 4; exit "${PIPESTATUS[0]}"
