// Package chat turns the messages of a conversation into the text that a chat
// model was trained on, as the Jinja template in its tokenizer files says.
//
// It answers: what does transformers' apply_chat_template make of these messages,
// and where in that text does one message's content stand? The texts are those of
// transformers 5.23 (tests: templates of published models), rendered within limits
// of steps, memory and output, with no file, clock or randomness in reach: a
// template comes with the checkpoint and is not trusted.
//
// The strings of special tokens inside a message are not treated apart: the text
// is encoded whole, special tokens read as such (tokenize.SpecialsParse) and none
// added, so that "<|im_end|>" in a user's message ends the turn. This is what
// apply_chat_template does; a caller warns about it (tokenize.File.SpecialIn).
//
// It refuses templates that ask for today's date when none is given: a result must
// not depend on the day it was made. Messages have a role and a text, no tool calls
// and no images.
package chat
