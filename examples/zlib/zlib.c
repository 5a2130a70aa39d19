// SPDX-License-Identifier: GPL-2.0-only
/*
 * A real .gz file inflated by the unmodified zlib of the system, behind per-object grants.
 *
 *	zlib [FILE]
 *
 * The z_stream structure, the input (read-only) and a buffer for the output are guarded
 * objects, granted to inflate() for each call of it.  The state that zlib allocates is its own
 * (z_stream.state, from malloc()).  The result has to equal that of gunzip, byte for byte.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../common/example.h"

#define CHUNK		16384		/* bytes of output for one call */
#define GZIP		(16 + MAX_WBITS)	/* for inflateInit2(): a gzip header is expected */

/* A file that is not in every Debian system is in the one or the other of these packages. */
static const char *const default_files[] = {
	"/usr/share/doc/zlib1g/changelog.gz",
	"/usr/share/javascript/jquery/jquery.min.map.gz",
};

static const char *default_file(void)
{
	for (size_t n = 0; n < sizeof(default_files) / sizeof(default_files[0]); n++)
		if (!access(default_files[n], R_OK))
			return default_files[n];
	fail("no .gz file here (%s is missing, too): install libjs-jquery, or name a file",
	     default_files[0]);
}

/* What gunzip makes of the file; the other side of the comparison. */
static unsigned char *gunzip(const char *path, size_t *length)
{
	size_t room = 1 << 16, done = 0, n;
	unsigned char *text = malloc(room);
	char *command;
	FILE *output;

	if (asprintf(&command, "exec gzip -cd -- '%s'", path) < 0 || !text)
		fail("out of memory");
	output = popen(command, "re");
	if (!output)
		fail("cannot run gzip: %s", strerror(errno));
	while ((n = fread(text + done, 1, room - done, output)) > 0) {
		done += n;
		if (done == room) {
			room *= 2;
			text = realloc(text, room);
			if (!text)
				fail("out of memory");
		}
	}
	if (pclose(output))
		fail("gzip cannot unpack %s", path);
	free(command);
	*length = done;
	return text;
}

static struct ffg_call *call_new(struct ffg_domain *library, const char *symbol,
				 const char *signature)
{
	struct ffg_call *call = ffg_call_new(library, symbol, signature);

	if (!call)
		fail_ffg(symbol);
	return call;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : default_file();
	size_t expected_length, input_length, length = 0;
	unsigned char *expected = gunzip(path, &expected_length);
	struct ffg_context *context = ffg_context_open(NULL);
	struct ffg_domain *library;
	struct ffg_call *init, *inflates, *end;
	struct counts first = { 0, 0 }, later = { 0, 0 };
	unsigned char *input, *output;
	z_stream *stream;
	int result, error, calls = 0, differs = 0;

	if (!context)
		fail_ffg("no context");
	library = ffg_domain_open(context, "libz.so.1", 0);
	if (!library)
		fail_ffg("libz.so.1");
	input = file_object(context, path, &input_length);
	stream = ffg_object_alloc(context, sizeof(*stream), FFG_OBJECT_END);
	output = ffg_object_alloc(context, CHUNK, FFG_OBJECT_END);
	if (!stream || !output)
		fail_ffg("objects");

	init = call_new(library, "inflateInit2_", "i(pipi)");
	grant(init, stream, sizeof(*stream), FFG_INOUT);
	inflates = call_new(library, "inflate", "i(pi)");
	grant(inflates, stream, sizeof(*stream), FFG_INOUT);
	grant(inflates, input, input_length, FFG_IN);
	grant(inflates, output, CHUNK, FFG_OUT);
	end = call_new(library, "inflateEnd", "i(p)");
	grant(end, stream, sizeof(*stream), FFG_INOUT);

	stream->next_in = input;
	stream->avail_in = (uInt)input_length;
	error = FFG_INVOKE(init, inflateInit2_, &result, stream, GZIP, ZLIB_VERSION,
			   sizeof(*stream));
	if (error || result != Z_OK)
		fail("inflateInit2: %d, %s", result, ffg_strerror(error));
	do {
		struct counts counts;

		stream->next_out = output;
		stream->avail_out = CHUNK;
		counts_begin();
		error = FFG_INVOKE(inflates, inflate, &result, stream, Z_NO_FLUSH);
		counts = counts_end();
		if (error || (result != Z_OK && result != Z_STREAM_END))
			fail("inflate: %d, %s", result, ffg_strerror(error));
		if (!calls++) {
			first = counts;
		} else {
			later.entries += counts.entries;
			later.faults += counts.faults;
		}
		/* zlib filled it, and says how far: neither is believed beyond the object. */
		if (stream->avail_out > CHUNK)
			fail("zlib claims more room than there was");
		size_t n = CHUNK - stream->avail_out;

		if (length + n > expected_length || memcmp(output, expected + length, n))
			differs = 1;
		length += n;
	} while (result != Z_STREAM_END && !differs);
	error = FFG_INVOKE(end, inflateEnd, &result, stream);
	if (error || result != Z_OK)
		fail("inflateEnd: %d, %s", result, ffg_strerror(error));
	differs |= length != expected_length;

	printf("file     %s, %zu bytes\n", path, input_length);
	printf("library  libz.so.1 %s, as the system has it\n\n", zlibVersion());
	object_show(context, NULL, NULL, NULL, NULL);
	object_show(context, "z_stream", stream, "read-write", "inflateInit2, inflate, inflateEnd");
	object_show(context, "input", input, "read-only", "inflate");
	object_show(context, "output", output, "read-write", "inflate");
	printf("\n  inflate: %d calls; kernel entries: %ld in the first, %ld in all others;\n"
	       "  page faults: %ld, %ld\n\n",
	       calls, first.entries, later.entries, first.faults, later.faults);
	printf("output   %zu bytes, %s\n", length,
	       differs ? "DIFFERENT from gunzip's" : "identical with gunzip's");

	if (ffg_call_free(init) || ffg_call_free(inflates) || ffg_call_free(end) ||
	    ffg_object_free(context, stream) || ffg_object_free(context, input) ||
	    ffg_object_free(context, output) || ffg_domain_close(library) ||
	    ffg_context_close(context))
		fail_ffg("closing");
	free(expected);
	return differs;
}
