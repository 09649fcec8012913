/* SPDX-License-Identifier: Apache-2.0 */
/* store_complain -- what SQLite has to say, as a sentence and a status of ours; see store_parts.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/outfile.h"
#include "harness/shown.h"
#include "harness/store_parts.h"

/* What the user can mend is bad input; the rest, and all that is not here, is the machine. */
static const struct complaint {
    int code;
    gdn_status status;
    const char *hint;
} complaints[] = {
    {SQLITE_FULL, GDN_MACHINE, " (the disk is full; committed tasks are safe, run again to resume)"},
    {SQLITE_IOERR, GDN_MACHINE, " (committed tasks are safe, run again to resume)"},
    {SQLITE_NOTADB, GDN_BAD_INPUT, " (move the file away, or choose another --results directory)"},
    {SQLITE_BUSY, GDN_BAD_INPUT, " (another gdnprec is writing to it)"},
    {SQLITE_CORRUPT, GDN_BAD_INPUT,
     " (the file is damaged: move it and its -wal file away and run again, or put a copy of it back)"},
    {SQLITE_INTERRUPT, GDN_BAD_INPUT, " (it has no end: the file is damaged)"},
    {SQLITE_CANTOPEN, GDN_BAD_INPUT, ""},
    {SQLITE_READONLY, GDN_BAD_INPUT, ""},
    {SQLITE_PERM, GDN_BAD_INPUT, ""},
    {SQLITE_LOCKED, GDN_BAD_INPUT, ""},
    {SQLITE_AUTH, GDN_BAD_INPUT, ""},
    {SQLITE_TOOBIG, GDN_BAD_INPUT, ""},
    {SQLITE_ERROR, GDN_BAD_INPUT, ""}}; /* our statements are right: the file is of another format */

bool gdn_store_room_beside(const char *path)
{
    char directory[4200];
    return access(gdn_directory_of(path, directory, sizeof directory), W_OK) == 0;
}

bool gdn_store_writable(const char *path)
{
    struct stat st;
    bool file = stat(path, &st) == 0 ? S_ISREG(st.st_mode) && access(path, W_OK) == 0 : errno == ENOENT;
    return file && gdn_store_room_beside(path);
}

gdn_status gdn_store_complain(sqlite3 *db, const char *path, bool read_only, const char *what, gdn_error *err)
{
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM, number = 0;
    if (code == SQLITE_CANTOPEN ||
        code == SQLITE_IOERR) /* the kernel's reason, where it is one of the disk */
        number = sqlite3_system_errno(db);
    bool disk = number == ENOSPC || number == EIO || number == EDQUOT;
    if ((code == SQLITE_CANTOPEN && disk) ||
        ((code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !read_only && gdn_store_writable(path)))
        code = SQLITE_IOERR; /* a file beside it that cannot be made */
    struct complaint c = {code, GDN_MACHINE, ""};
    if (code == SQLITE_FULL && strncmp(what, "read", 4) == 0) /* sorting spills */
        return gdn_fail(err, GDN_MACHINE,
                        "%s: cannot %s: no room for SQLite's temporary files (SQLITE_TMPDIR names another "
                        "directory for them); committed tasks are safe, run again to resume",
                        path, what);
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++)
        if (complaints[i].code == code)
            c = complaints[i];
    char said[300];
    return gdn_fail(err, c.status, "%s: cannot %s: %s%s%s%s", path, what,
                    db ? gdn_shown(sqlite3_errmsg(db), said, sizeof said) : "out of memory", disk ? ": " : "",
                    disk ? strerror(number) : "", read_only ? "" : c.hint);
}
