vramscope list disks
