// Package embed gives a checkpoint's vectors of words: rows of its embedding or
// output matrix, and hidden states of words in contexts. It answers "which
// vector does this model hold for this word, and which does it compute when the
// word is read in a sentence", under a sub-token policy that the record names.
//
// A word is cut as the tokenizer cuts it after a space (Spaced) or bare, without
// special tokens; where the tokenizer puts its own word mark in front, the bare
// word already is the spaced form. Pieces must decode to the word, else the word
// is lost (piece-mismatch), never approximated. States are read at the tokens
// that end after the prompt; the first position of a text is never used.
//
// The package refuses a layer that does not exist, a context in which the word
// has no token or stands at position 0, and a window longer than the model's
// positions. Statistics of the vectors are those of latent/weat.
package embed
