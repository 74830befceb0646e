"""How tokens are made: the tree decoder, and the reference decoder beside it.

In the order in which it is read:

1. `requests`: what a decoder is asked for and gives back. `branches`: places in the tree, and answers
   in the making there.
2. `held/`: what is held between steps. `tree` (which token sees which), `slots` (where its keys and
   values lie), `cache` (the keys and values), `positions` (two-dimensional ones).
3. `engine`: the four verbs and the step (`completing`: prompts in one call). `scheduler` (whose turn it
   is; `admission`: who fits; `stops` and `sampling`: which token), `forward` (one pass; `diagnosis`:
   where a number was lost; `pages`: memory of large arrays).
4. `attention/`: what one pass does in every layer. `interface` (how transformers calls it), `kernel`
   (what every kernel is), `dense`, `cascade` with its `plan`, `fused` with its `segments`, `flex`;
   `scores` (attention of some rows over some keys), `step` (what they all know of a pass).
5. How a CPU computes. `native/`: kernels in C (`rows`: matrix products, `attend`: the cascade in one
   call, `layers`: a unit or a layer's inputs in one call, `norms`), built by `library`. `products/`: how
   a model is made to use them: `linear` (which product for how many rows; `onednn`'s copies), `small`
   (norms, gated units), `heads` (the inputs of attention). `threads`: how many a pass is worth.
6. `models/`: what has to be known of a model. `facts`, `text` (text to ids), `chat` with `templates`,
   `weights` (whether a checkpoint is whole); `exactness`, `usable`, `padding`, `lengths` (whether it
   can be decoded rightly), `speed` (the fastest kernel; by `racing`).
7. What is learned: `trained/` (a checkpoint's `folder`, and a model with it: `attaching`), `mixers/`
   (hidden states mixed between branches: `entry`, `modules`, `mixing`).
8. Around them: `loop` (a decoder steps when everybody waits), `seat` (who has a model in hand),
   `constrained` (answers held to a pattern), `torch_compile`, `checks`, and `hf`, the reference.
"""
