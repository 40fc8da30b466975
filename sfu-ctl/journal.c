// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/journal.h"

#include "sfu-ctl/log.h"
#include "sfu-ctl/proto/journal_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_TEXT "1"
#define BOOT_BYTES 64u
/* A file below this is never rewritten; above, when it has grown to this many times its start. */
#ifndef REWRITE_MIN_BYTES /* tests rewrite sooner */
#define REWRITE_MIN_BYTES (1u << 20)
#endif
#define REWRITE_GROWTH 4u
#define RETRY_US 10000000u
/* What a predecessor can sanely have left. */
#define READ_MAX_BYTES (1u << 30)

struct journal {
	struct remember remember;
	char path[256], new_path[264], lock_path[264];
	char boot[BOOT_BYTES];
	int fd; /* of the file that is appended to; -1 = there is none yet */
	int lock_fd; /* keeps others out; the file itself is replaced; -1 = not yet ours */
	bool begun, frozen, failed, rewriting;
	bool told; /* of the failure that goes on */
	uint64_t retry_us; /* after a failure; 0 = at the next tick */
	uint64_t start_bytes; /* after the last rewrite */
	struct journal_figures figures;
	journal_tell_all_fn tell_all;
	void *tell_ctx;
	char line[JOURNAL_LINE_MAX];
};

static void read_boot(char out[BOOT_BYTES])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	out[0] = '\0';
	if (f != NULL && fgets(out, BOOT_BYTES, f) == NULL)
		out[0] = '\0';
	if (f != NULL)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
	if (out[0] == '\0')
		snprintf(out, BOOT_BYTES, "unknown");
}

/* The folder is ours from here on. 0 or negative errno. */
static int lock(struct journal *j)
{
	int fd = open(j->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		j->lock_fd = fd;
		return 0;
	}
	error = errno;
	close(fd);
	return -error;
}

/* --- writing --- */

/* Half a line must never be followed by another: it would damage the file as a whole. */
static void fail(struct journal *j, int error)
{
	if (!j->rewriting && !j->told)
		log_error("journal",
			"cannot be written, a restart would end the calls until it can",
			log_str("path", j->path), log_err("error", error));
	j->told = j->told || !j->rewriting;
	j->failed = true;
	j->figures.failures++;
	if (!j->rewriting && j->lock_fd >= 0 && ftruncate(j->fd, 0) < 0)
		unlink(j->path);
}

static void append(struct journal *j, const char *kind, const char *id, const char *text)
{
	size_t len, done = 0;

	if (j->failed)
		return;
	len = journal_line(j->line, sizeof(j->line), kind, id, text);
	// Too long for a line: this one is not remembered, nor what hangs on it. The others are.
	if (len == 0 && text != NULL)
		len = journal_line(j->line, sizeof(j->line), kind, id, NULL);
	if (len == 0) {
		fail(j, EMSGSIZE);
		return;
	}
	while (done < len) {
		ssize_t n = write(j->fd, j->line + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fail(j, n < 0 ? errno : ENOSPC);
			return;
		}
		done += (size_t)n;
	}
	j->figures.bytes += len;
	j->figures.lines++;
}

static void on_tell(void *ctx, const char *kind, const char *id, const char *text)
{
	struct journal *j = ctx;

	if (j->begun && !j->frozen)
		append(j, kind, id, text);
}

/* A whole new file beside the old one, which counts until this one is complete. */
static void rewrite(struct journal *j)
{
	const struct journal_figures before = j->figures;
	bool was_good = !j->failed && before.lines > 0;
	int old = j->fd, error = 0;

	if (j->lock_fd < 0 && (error = lock(j)) < 0) {
		fail(j, -error);
		return;
	}
	j->fd = open(j->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		0600);
	j->failed = j->fd < 0;
	j->rewriting = true;
	j->figures.bytes = j->figures.lines = 0;
	append(j, "journal", VERSION_TEXT, j->boot);
	if (!j->failed)
		j->tell_all(j->tell_ctx);
	if (j->failed || rename(j->new_path, j->path) < 0)
		error = errno != 0 ? errno : ENOSPC;
	j->rewriting = false;
	if (error == 0) {
		if (old >= 0)
			close(old);
		j->start_bytes = j->figures.bytes;
		j->figures.rewrites++;
		return;
	}
	if (j->fd >= 0)
		close(j->fd);
	unlink(j->new_path);
	j->fd = old;
	j->failed = !was_good;
	j->figures.bytes = before.bytes;
	j->figures.lines = before.lines;
	j->start_bytes = before.bytes; // not again at once
	if (j->failed)
		fail(j, error);
}

/* --- reading --- */

struct reading {
	struct journal *j;
	struct memory *left;
	bool header, other_boot;
};

static int on_line(void *ctx, const char *kind, const char *id, const char *text)
{
	struct reading *r = ctx;

	if (r->header)
		return memory_put(r->left, kind, id, text);
	if (strcmp(kind, "journal") != 0 || strcmp(id, VERSION_TEXT) != 0 || text == NULL)
		return -EINVAL;
	r->header = true;
	r->other_boot = strcmp(text, r->j->boot) != 0;
	return 0;
}

/* All bytes of the file, or none (NULL): what begins like it would pass for an earlier state. 0 or
 * negative errno. */
static int slurp(int fd, char **out, size_t *len)
{
	struct stat st;
	char *bytes;

	*out = NULL;
	*len = 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)READ_MAX_BYTES)
		return -EFBIG;
	if (st.st_size == 0)
		return 0;
	bytes = malloc((size_t)st.st_size);
	while (bytes != NULL && *len < (size_t)st.st_size) {
		ssize_t n = pread(fd, bytes + *len, (size_t)st.st_size - *len, (off_t)*len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n < 0 ? errno : EIO;

			free(bytes);
			return -error;
		}
		*len += (size_t)n;
	}
	*out = bytes;
	return bytes != NULL ? 0 : -ENOMEM;
}

static void read_file(struct journal *j, struct memory **left, char *note, size_t note_size)
{
	struct reading r = {.j = j, .left = *left};
	enum journal_status status;
	size_t len;
	char *bytes;
	int error = slurp(j->fd, &bytes, &len);

	if (error < 0)
		snprintf(note, note_size, "cannot be read, not used: %s", strerror(-error));
	if (bytes == NULL)
		return;
	status = journal_scan(bytes, len, on_line, &r);
	free(bytes);
	if (status != JOURNAL_DAMAGED && r.header && !r.other_boot) {
		snprintf(note, note_size, "%zu entries of a predecessor%s", memory_count(*left),
			status == JOURNAL_CUT ? ", the last one was cut off" : "");
		return;
	}
	snprintf(note, note_size, "%s",
		status == JOURNAL_DAMAGED || !r.header
			? "damaged, not used"
			: "of another boot of the machine, not used");
	memory_destroy(*left);
	*left = memory_create();
}

/* May it be well again later? What a person has to mend is refused at the start. */
static bool is_the_disk(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EIO || error == EROFS;
}

/* Lock and file. 0 or negative errno. */
static int take(struct journal *j)
{
	int error = lock(j);

	if (error < 0)
		return error;
	j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return -errno;
	fchmod(j->fd, 0600);
	return 0;
}

struct journal *journal_open(const char *dir, struct memory **left, char *note, size_t note_size,
	char *err, size_t err_size)
{
	struct journal *j = calloc(1, sizeof(*j));
	int error;

	*left = memory_create();
	note[0] = '\0';
	if (j == NULL || *left == NULL) {
		snprintf(err, err_size, "out of memory");
		goto free_all;
	}
	j->fd = j->lock_fd = -1;
	j->remember = (struct remember){.ctx = j, .tell = on_tell};
	read_boot(j->boot);
	snprintf(j->path, sizeof(j->path), "%.240s/journal", dir);
	snprintf(j->new_path, sizeof(j->new_path), "%s.new", j->path);
	snprintf(j->lock_path, sizeof(j->lock_path), "%s.lock", j->path);
	error = take(j);
	if (error == -EWOULDBLOCK) {
		snprintf(err, err_size,
			"SFU_STATE_DIR=\"%.200s\" is used by another sfu-ctl: give each its own",
			dir);
		goto free_all;
	}
	if (error < 0 && !is_the_disk(-error)) {
		snprintf(err, err_size,
			"SFU_STATE_DIR: %.200s cannot be opened: %s; it must be in a folder of "
			"sfu-ctl's own",
			j->lock_fd < 0 ? j->lock_path : j->path, strerror(-error));
		goto free_all;
	}
	// One that cannot be written now is not read either: a predecessor may not have been able to
	// empty it.
	if (error < 0)
		snprintf(note, note_size, "cannot be opened, not used: %s", strerror(-error));
	else
		read_file(j, left, note, note_size);
	if (*left == NULL) {
		snprintf(err, err_size, "out of memory");
		goto free_all;
	}
	return j;

free_all:
	memory_destroy(*left);
	*left = NULL;
	journal_close(j);
	return NULL;
}

/* --- calls --- */

const struct remember *journal_remember(struct journal *j)
{
	return &j->remember;
}

void journal_begin(struct journal *j, journal_tell_all_fn tell_all, void *ctx)
{
	j->tell_all = tell_all;
	j->tell_ctx = ctx;
	j->begun = true;
	rewrite(j);
}

void journal_freeze(struct journal *j)
{
	j->frozen = true;
}

void journal_tick(struct journal *j, uint64_t now_us)
{
	if (!j->begun || j->frozen)
		return;
	if (j->failed) {
		if (now_us < j->retry_us)
			return;
		j->retry_us = now_us + RETRY_US;
		rewrite(j);
		if (j->failed)
			return;
		j->told = false;
		log_warn("journal", "is written again", log_str("path", j->path));
		return;
	}
	if (j->figures.bytes > REWRITE_MIN_BYTES
		&& j->figures.bytes / REWRITE_GROWTH > j->start_bytes)
		rewrite(j);
}

void journal_figures(const struct journal *j, struct journal_figures *out)
{
	*out = j->figures;
	out->writing = !j->failed;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	free(j);
}
