au BufRead,BufNewFile *.attn setfiletype attn
