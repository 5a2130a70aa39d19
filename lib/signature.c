// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signatures: which registers and stack words the calling convention of System V for
 * x86-64 gives to the arguments.
 *
 *	signature := RETURN "(" ARGUMENT* [ "..." ] ")"
 *
 * Spaces and commas between arguments are skipped.
 */
#include <string.h>

#include "gate.h"

#define INTEGER_REGISTERS	6
#define VECTOR_REGISTERS	8
#define VARIADIC_WORDS		16

struct parser {
	const char *text;
	const char *at;
	struct ffg_signature *out;
};

static int mistake(const struct parser *parser, const char *what)
{
	return ffg_fail(FFG_E_SIGNATURE, "signature \"%s\", character %d: %s", parser->text,
			(int)(parser->at - parser->text) + 1, what);
}

static void skip(struct parser *parser)
{
	parser->at += strspn(parser->at, " ,");
}

/* A decimal number from 1 to @max, or 0. */
static unsigned int number(struct parser *parser, unsigned int max)
{
	unsigned int value = 0;

	for (; *parser->at >= '0' && *parser->at <= '9'; parser->at++) {
		value = value * 10 + (unsigned int)(*parser->at - '0');
		if (value > max)
			return 0;
	}
	return value;
}

/* An argument of @words on the stack at a multiple of @align words. */
static void in_memory(struct ffg_signature *out, unsigned int words, unsigned int align)
{
	out->stack_words = (out->stack_words + align - 1) / align * align + words;
	if (align > out->stack_align)
		out->stack_align = align;
}

static void in_vector(struct ffg_signature *out, unsigned int words)
{
	if (words > 1)
		out->wide = true;
	if (out->vectors < VECTOR_REGISTERS)
		out->vectors++;
	else
		in_memory(out, words, words);
}

static int structure(struct parser *parser)
{
	unsigned int bytes = number(parser, GATE_STACK_WORDS_MAX * 8), align = 8;

	if (!bytes)
		return mistake(parser, "size of a structure expected, 1 to 32768");
	if (*parser->at == ':') {
		parser->at++;
		align = number(parser, 64);
		if (align != 8 && align != 16 && align != 32 && align != 64)
			return mistake(parser, "alignment 8, 16, 32 or 64 expected");
	}
	in_memory(parser->out, (bytes + 7) / 8, align / 8);
	return 0;
}

static int argument(struct parser *parser)
{
	struct ffg_signature *out = parser->out;

	switch (*parser->at++) {
	case 'i':
	case 'p':
		if (out->integers < INTEGER_REGISTERS)
			out->integers++;
		else
			in_memory(out, 1, 1);
		return 0;
	case 'q':				/* both halves in registers or none */
		if (out->integers + 2 <= INTEGER_REGISTERS)
			out->integers += 2;
		else
			in_memory(out, 2, 2);
		return 0;
	case 'f':
	case 'd':
		in_vector(out, 1);
		return 0;
	case 'y':
		in_vector(out, 4);
		return 0;
	case 'z':
		in_vector(out, 8);
		return 0;
	case 'D':
		in_memory(out, 2, 2);
		return 0;
	case 's':
		return structure(parser);
	default:
		parser->at--;
		return mistake(parser, *parser->at ? "i p f d D y z q sN ... or ) expected" :
			       "the closing ) is missing");
	}
}

static int return_value(struct parser *parser)
{
	struct ffg_signature *out = parser->out;

	switch (*parser->at++) {
	case 'v':
	case 'i':
	case 'p':
	case 'q':
	case 'f':
	case 'd':
	case 'y':
	case 'z':
	case 'r':
		return 0;
	case 'D':
		out->form = FFG_RETURN_X87;
		return 0;
	case 'c':
		out->form = FFG_RETURN_X87_PAIR;
		return 0;
	case 'm':
		out->form = FFG_RETURN_MEMORY;
		out->integers = 1;
		out->return_size = number(parser, GATE_RETURN_MAX);
		if (!out->return_size)
			return mistake(parser, "size of a structure expected, 1 to 65536");
		return 0;
	default:
		parser->at--;
		return mistake(parser, "one of v i p f d D y z q mN r c expected");
	}
}

static void everything(struct ffg_signature *out)
{
	out->integers = INTEGER_REGISTERS;
	out->vectors = VECTOR_REGISTERS;
	in_memory(out, VARIADIC_WORDS, 1);
}

int ffg_signature_parse(const char *text, struct ffg_signature *signature)
{
	struct parser parser = { .text = text, .at = text, .out = signature };
	int error;

	memset(signature, 0, sizeof(*signature));
	signature->stack_align = 2;
	if (!text) {
		signature->unknown = true;
		signature->wide = true;
		everything(signature);
		return 0;
	}
	error = return_value(&parser);
	if (error)
		return error;
	if (*parser.at != '(')
		return mistake(&parser, "( expected");
	parser.at++;
	for (skip(&parser); *parser.at != ')'; skip(&parser)) {
		if (!strncmp(parser.at, "...", 3)) {
			parser.at += 3;
			signature->variadic = true;
			everything(signature);
			skip(&parser);
			if (*parser.at != ')')
				return mistake(&parser, "... must be the last argument");
			break;
		}
		error = argument(&parser);
		if (error)
			return error;
		if (signature->stack_words > GATE_STACK_WORDS_MAX)
			return mistake(&parser, "more than 32768 bytes of arguments on the stack");
	}
	if (parser.at[1]) {
		parser.at++;
		return mistake(&parser, "nothing may follow )");
	}
	return 0;
}
