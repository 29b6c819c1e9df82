-- The login with which `backup.sh` copies the whole server; it can change nothing. Run it again at any time, as a superuser.
\getenv password ARCHIVE_PASSWORD

select not exists (select from pg_roles where rolname = 'archive') as is_missing \gset
\if :is_missing
    create role archive;
\endif
alter role archive login replication password :'password';
-- Nor make temporary tables: everybody may in this database, and it needs no other.
revoke temporary on database postgres from public;

-- It has to be named, since `all` databases are not `replication`.
select
    not exists (
        select from pg_hba_file_rules where database = '{replication}' and user_name = '{archive}' and error is null
    ) as is_missing,
    format('cat >> %L', current_setting('hba_file')) as append
\gset
\if :is_missing
    copy (select unnest(array['', 'host replication archive all scram-sha-256'])) to program :'append';
    select pg_reload_conf() as is_told \gset
\endif
