" Vim syntax file: attention patterns (.attn)
if exists("b:current_syntax")
  finish
endif

syn keyword attnDeclaration pattern mask fn use
syn keyword attnStatement over with example cost require carry index block of like from by into in
syn keyword attnStatement where if then else
syn keyword attnOperatorWord and or not
syn keyword attnConstant true false pi inf
" Functions where a bracket follows: elsewhere their names are free
syn match attnFunction /\<\%(exp\|exp2\|expm1\|log\|log2\|log1p\|sqrt\|rsqrt\|tanh\|sigmoid\|relu\|elu\|gelu\|silu\|softplus\|sin\|cos\|atan\|erf\|abs\|sign\|floor\|ceil\|round\|min\|max\|clamp\|pow\|float\|int\|popcount\|stop\|rand\|pad\|size\|first\|last\|sum\|mean\|prod\|any\|all\|argmax\|argmin\|logsumexp\|softmax\|sparsemax\|entmax15\|cumsum\|cummax\|topk\|topp\|top_index\|positions\|rank\|join\|count\)\>\ze\s*[[(]/
syn match attnType /:\s*\zs\%(float\|f64\|f32\|f16\|bf16\|int\|bool\)\>/
syn match attnName /\%(\<\%(pattern\|mask\|fn\)\s\+\)\@<=\h\w*/
syn match attnNumber /\<\d\+\%(\.\d\+\)\=\%([eE][+-]\=\d\+\)\=\>/
syn match attnOperator /->\|\.\.\|[-+*\/%&|^<>=]/
syn region attnString start=/"/ end=/"/ oneline
syn match attnComment /#.*$/ contains=attnTodo,@Spell
syn keyword attnTodo TODO FIXME XXX contained

hi def link attnDeclaration Keyword
hi def link attnStatement Statement
hi def link attnOperatorWord Operator
hi def link attnConstant Constant
hi def link attnFunction Function
hi def link attnName Identifier
hi def link attnType Type
hi def link attnNumber Number
hi def link attnOperator Operator
hi def link attnString String
hi def link attnComment Comment
hi def link attnTodo Todo

let b:current_syntax = "attn"
