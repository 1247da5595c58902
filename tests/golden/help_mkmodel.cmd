vramscope help mkmodel
