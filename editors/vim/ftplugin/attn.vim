" Attention patterns: comments, indentation and layout
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=#\ %s comments=:# expandtab shiftwidth=4 softtabstop=4 textwidth=110
setlocal suffixesadd=.attn
if executable("attnc")
  setlocal formatprg=attnc\ fmt\ -
endif
let b:undo_ftplugin = "setlocal commentstring< comments< expandtab< shiftwidth< softtabstop< textwidth< suffixesadd< formatprg<"
