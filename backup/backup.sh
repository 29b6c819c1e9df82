#!/bin/bash
# Keeps a folder from which the database can be restored to any moment: `base` has whole backups, each named after the
# moment at which it was complete, and `log` all that was written since, as `cargo xtask up --archive` has them too.
#
#   backup role              lets the others in; the only one that is told the superuser's password
#   backup stream            takes in what is written, while it is written
#   backup is-streaming      whether that works
#   backup make [--keep N]   makes a backup, and then does the next
#   backup forget N          removes all but the last N, and what only those needed
#   backup restore [TIME]    makes a database of it in an empty $PGDATA, as it was at that time
set -euo pipefail
umask 077
folder=${BACKUP_FOLDER:-/backup}
temporary=${TMPDIR:-/tmp}

fail() {
    echo "$*" >&2
    exit 1
}

# Secrets may come in files that only root can read.
for name in POSTGRES_PASSWORD ARCHIVE_PASSWORD; do
    file=${name}_FILE
    if [[ -n ${!file:-} ]]; then
        secret=$(<"${!file}")
        export "$name=$secret"
        unset "$file"
    fi
done
export PGPASSWORD=${POSTGRES_PASSWORD:-${ARCHIVE_PASSWORD:-}}

if [[ $(id -u) == 0 ]]; then
    case ${1:-} in
    stream) own=$folder ;;
    restore) own=$PGDATA ;;
    esac
    if [[ -n ${own:-} ]]; then chown postgres:postgres "$own" && chmod 700 "$own"; fi
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

ask() { psql -XAtq --set=ON_ERROR_STOP=1 --command="$1"; }

# By the clock that a restore goes by.
now() { ask "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"; }

# One at a time changes what is in the folder.
alone() {
    exec 9>"$folder/lock"
    flock 9
}

# The server for which the slot keeps what has not been streamed; nothing without a slot.
kept_server() {
    ask "select system_identifier from pg_control_system(), pg_replication_slots where slot_name = 'archive'"
}

# The server whose log is in the folder.
known_server() { if [[ -e $folder/system ]]; then cat "$folder/system"; else echo none; fi; }

# What is there is of another server, or of this one before it was restored, and can still be restored from.
set_aside() {
    local earlier=$folder/earlier part time
    time=$(now)
    rm -rf "$folder/base/unfinished" "$folder/system"
    mkdir -p "$earlier/unfinished"
    for part in base log; do
        if [[ -e $folder/$part ]]; then mv "$folder/$part" "$earlier/unfinished/"; fi
    done
    mv --no-target-directory "$earlier/unfinished" "$earlier/$time"
}

begin() {
    if [[ -e $folder/base || -e $folder/log || -e $folder/earlier/unfinished ]]; then set_aside; fi
    mkdir "$folder/base" "$folder/log"
    pg_receivewal --slot=archive --create-slot --if-not-exists
    kept_server >"$folder/system"
    sync "$folder/system" "$folder"
}

stream() {
    local kept segment
    alone
    # What the server was told not to keep any longer (max_slot_wal_keep_size) is missing.
    ask "select from pg_replication_slots, pg_drop_replication_slot(slot_name)
        where slot_name = 'archive' and wal_status = 'lost'"
    kept=$(kept_server)
    if [[ $kept != "$(known_server)" ]]; then begin; fi
    compgen -G "$folder/base/2*" >/dev/null || make
    # A file that was being made when the disk was full has nothing in it yet.
    segment=$(ask "select setting from pg_settings where name = 'wal_segment_size'")
    find "$folder/log" -name '*.partial' ! -size "${segment}c" -delete
    # Without a loop, so that a server that was restored meanwhile is not taken for the same.
    exec pg_receivewal --directory="$folder/log" --slot=archive --synchronous --status-interval=1 --no-loop 9>&-
}

is-streaming() { [[ $(ask "select active from pg_replication_slots where slot_name = 'archive'") == t ]]; }

make() {
    local keep= kept unfinished=$folder/base/unfinished complete
    if (($#)); then
        [[ $1 == --keep && ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "backup make [--keep N]"
        keep=$2
    fi
    alone
    kept=$(kept_server)
    [[ $kept == "$(known_server)" ]] || fail "the server is another one: see the log of this container"
    rm -rf "$unfinished"
    pg_basebackup --checkpoint=fast --pgdata="$unfinished"
    pg_verifybackup --quiet "$unfinished"
    complete=$(now)
    # A backup is told from others by its second.
    while [[ -e $folder/base/$complete ]]; do
        sleep 0.1
        complete=$(now)
    done
    complete=$folder/base/$complete
    mv --no-target-directory "$unfinished" "$complete"
    sync "$folder/base"
    echo "${complete#"$folder/"} is complete"
    if [[ -n $keep ]]; then forget "$keep"; fi
}

forget() {
    local complete unfinished=$folder/base/unfinished old first
    [[ ${1:-} =~ ^[1-9][0-9]*$ ]] || fail "backup forget N"
    alone
    complete=("$folder"/base/2*)
    [[ -d ${complete[0]} ]] || fail "there is no backup"
    while ((${#complete[@]} > $1)); do
        old=${complete[0]}
        # So that nobody takes the rest of it for whole.
        mv --no-target-directory "$old" "$unfinished"
        rm -rf "$unfinished"
        echo "${old#"$folder/"} is removed"
        complete=("${complete[@]:1}")
    done
    first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "${complete[0]}/backup_label")
    pg_archivecleanup "$folder/log" "$first"
}

# The last backup that was complete by then, also of what was set aside.
choose() {
    local candidate chosen= name
    shopt -s nullglob
    for candidate in "$folder"/base/2* "$folder"/earlier/*/base/2*; do
        name=${candidate##*/}
        if [[ -z $1 || ! $name > $1 ]] && [[ $name > ${chosen##*/} ]]; then chosen=$candidate; fi
    done
    [[ -n $chosen ]] || fail "there is no backup from before that"
    echo "$chosen"
}

restore() {
    local time=${1:-} backup log options
    [[ -z $time || $time =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$ ]] ||
        fail "the time has to be written as 2026-01-31T23:59:59Z"
    [[ -z $(ls -A "$PGDATA") ]] || fail "there is a database already: one is only restored where there is none"
    backup=$(choose "$time")
    log=${backup%/base/*}/log
    echo "restoring ${backup#"$folder/"}"
    trap abandon EXIT
    # First of all: with this, and without what only we say below, no server starts on what is half-made.
    touch "$PGDATA/recovery.signal"
    cp --archive --no-target-directory "$backup" "$PGDATA"
    options=(listen_addresses= unix_socket_directories=$temporary ssl=off hot_standby=off archive_mode=off
        "restore_command=backup fetch $log %f %p" recovery_target_action=promote)
    if [[ -n $time ]]; then options+=("recovery_target_time=${time%Z}+00"); fi
    # Answers when the recovery has begun.
    pg_ctl start --silent --wait --log="$temporary/log" --options="$(printf -- '-c %q ' "${options[@]}")" || explain
    until [[ $(pg_controldata) == *"in production"* ]]; do
        pg_ctl status >/dev/null || explain
        sleep 0.2
    done
    pg_ctl stop --silent --wait --timeout=1000000 --mode=fast
    trap - EXIT
    sed -n 's/.*LOG:  \(recovery stopping\|last completed transaction\)/\1/p' "$temporary/log"
    echo "restored: \`docker-compose up\` starts it"
}

# Brings PostgreSQL a file of the log, or tells that there is none. What is there and cannot be read is not the end of it.
fetch() {
    local file segment
    # What was being written last has another name, and nothing in it yet if it is not whole.
    segment=$(pg_controldata | sed -n 's/^Bytes per WAL segment: *//p')
    file=$(find "$1" -name "$2" -o -name "$2.partial" -size "${segment}c" | sort | head -n 1) || exit 255
    [[ -n $file ]] || exit 1
    cp "$file" "$3" || exit 255
}

explain() {
    tail -n 20 "$temporary/log" >&2
    if grep -q 'recovery ended before configured recovery target' "$temporary/log"; then
        echo "nothing was written after that time, as far as is known here: leave it out, to have all" >&2
    fi
    exit 1
}

# Leaves it as empty as it was.
abandon() {
    pg_ctl stop --silent --mode=immediate >/dev/null 2>&1 || true
    find "$PGDATA" -mindepth 1 -delete
}

role() { psql -Xq --set=ON_ERROR_STOP=1 --file="$(dirname "$0")/role.sql"; }

case ${1:-} in
role | stream | is-streaming | make | forget | restore | fetch) "$@" ;;
*) fail "backup role | stream | is-streaming | make [--keep N] | forget N | restore [TIME]" ;;
esac
