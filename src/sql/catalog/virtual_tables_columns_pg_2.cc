// Written by tools/generate_system_catalogs.py from PostgreSQL 15: columns of pg_catalog, second half.
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {
namespace {

constexpr RelationSpec kRows[] = {
    {12095, 'v', "pg_prepared_statements",
     "name text, statement text, prepare_time timestamptz, parameter_types _regtype, from_sql "
     "bool, generic_plans int8, custom_plans int8"},
    {12090, 'v', "pg_prepared_xacts",
     "transaction oid, gid text, prepared timestamptz, owner name, database name"},
    {1255, 'r', "pg_proc",
     "oid oid!, proname name!, pronamespace oid!, proowner oid!, prolang oid!, procost float4!, "
     "prorows float4!, provariadic oid!, prosupport regproc!, prokind char!, prosecdef bool!, "
     "proleakproof bool!, proisstrict bool!, proretset bool!, provolatile char!, proparallel "
     "char!, pronargs int2!, pronargdefaults int2!, prorettype oid!, proargtypes oidvector!, "
     "proallargtypes _oid, proargmodes _char, proargnames _text, proargdefaults text, "
     "protrftypes _oid, prosrc text!, probin text, prosqlbody text, proconfig _text, proacl _text"},
    {6104, 'r', "pg_publication",
     "oid oid!, pubname name!, pubowner oid!, puballtables bool!, pubinsert bool!, pubupdate "
     "bool!, pubdelete bool!, pubtruncate bool!, pubviaroot bool!"},
    {6237, 'r', "pg_publication_namespace",
     "oid oid!, pnpubid oid!, pnnspid oid!"},
    {6106, 'r', "pg_publication_rel",
     "oid oid!, prpubid oid!, prrelid oid!, prqual text, prattrs int2vector"},
    {12068, 'v', "pg_publication_tables",
     "pubname name, schemaname name, tablename name, attnames _name, rowfilter text"},
    {3541, 'r', "pg_range",
     "rngtypid oid!, rngsubtype oid!, rngmultitypid oid!, rngcollation oid!, rngsubopc oid!, "
     "rngcanonical regproc!, rngsubdiff regproc!"},
    {6000, 'r', "pg_replication_origin",
     "roident oid!, roname text!"},
    {12332, 'v', "pg_replication_origin_status",
     "local_id oid, external_id text, remote_lsn text, local_lsn text"},
    {12257, 'v', "pg_replication_slots",
     "slot_name name, plugin name, slot_type text, datoid oid, database name, temporary bool, "
     "active bool, active_pid int4, xmin oid, catalog_xmin oid, restart_lsn text, "
     "confirmed_flush_lsn text, wal_status text, safe_wal_size int8, two_phase bool"},
    {2618, 'r', "pg_rewrite",
     "oid oid!, rulename name!, ev_class oid!, ev_type char!, ev_enabled char!, is_instead "
     "bool!, ev_qual text!, ev_action text!"},
    {12000, 'v', "pg_roles",
     "rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, "
     "rolcanlogin bool, rolreplication bool, rolconnlimit int4, rolpassword text, rolvaliduntil "
     "timestamptz, rolbypassrls bool, rolconfig _text, oid oid"},
    {12023, 'v', "pg_rules",
     "schemaname name, tablename name, rulename name, definition text"},
    {3596, 'r', "pg_seclabel",
     "objoid oid!, classoid oid!, objsubid int4!, provider text!, label text!"},
    {12099, 'v', "pg_seclabels",
     "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, "
     "provider text, label text"},
    {2224, 'r', "pg_sequence",
     "seqrelid oid!, seqtypid oid!, seqstart int8!, seqincrement int8!, seqmax int8!, seqmin "
     "int8!, seqcache int8!, seqcycle bool!"},
    {12048, 'v', "pg_sequences",
     "schemaname name, sequencename name, sequenceowner name, data_type regtype, start_value "
     "int8, min_value int8, max_value int8, increment_by int8, cycle bool, cache_size int8, "
     "last_value int8"},
    {12104, 'v', "pg_settings",
     "name text, setting text, unit text, category text, short_desc text, extra_desc text, "
     "context text, vartype text, source text, min_val text, max_val text, enumvals _text, "
     "boot_val text, reset_val text, sourcefile text, sourceline int4, pending_restart bool"},
    {12005, 'v', "pg_shadow",
     "usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls "
     "bool, passwd text, valuntil timestamptz, useconfig _text"},
    {1214, 'r', "pg_shdepend",
     "dbid oid!, classid oid!, objid oid!, objsubid int4!, refclassid oid!, refobjid oid!, "
     "deptype char!"},
    {2396, 'r', "pg_shdescription",
     "objoid oid!, classoid oid!, description text!"},
    {3592, 'r', "pg_shseclabel",
     "objoid oid!, classoid oid!, provider text!, label text!"},
    {12222, 'v', "pg_stat_activity",
     "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, "
     "application_name text, client_addr text, client_hostname text, client_port int4, "
     "backend_start timestamptz, xact_start timestamptz, query_start timestamptz, state_change "
     "timestamptz, wait_event_type text, wait_event text, state text, backend_xid oid, "
     "backend_xmin oid, query_id int8, query text, backend_type text"},
    {12183, 'v', "pg_stat_all_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan "
     "int8, idx_tup_read int8, idx_tup_fetch int8"},
    {12142, 'v', "pg_stat_all_tables",
     "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, "
     "idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, "
     "n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, n_ins_since_vacuum int8, "
     "last_vacuum timestamptz, last_autovacuum timestamptz, last_analyze timestamptz, "
     "last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count int8, analyze_count "
     "int8, autoanalyze_count int8"},
    {12285, 'v', "pg_stat_archiver",
     "archived_count int8, last_archived_wal text, last_archived_time timestamptz, failed_count "
     "int8, last_failed_wal text, last_failed_time timestamptz, stats_reset timestamptz"},
    {12289, 'v', "pg_stat_bgwriter",
     "checkpoints_timed int8, checkpoints_req int8, checkpoint_write_time float8, "
     "checkpoint_sync_time float8, buffers_checkpoint int8, buffers_clean int8, maxwritten_clean "
     "int8, buffers_backend int8, buffers_backend_fsync int8, buffers_alloc int8, stats_reset "
     "timestamptz"},
    {12266, 'v', "pg_stat_database",
     "datid oid, datname name, numbackends int4, xact_commit int8, xact_rollback int8, blks_read "
     "int8, blks_hit int8, tup_returned int8, tup_fetched int8, tup_inserted int8, tup_updated "
     "int8, tup_deleted int8, conflicts int8, temp_files int8, temp_bytes int8, deadlocks int8, "
     "checksum_failures int8, checksum_last_failure timestamptz, blk_read_time float8, "
     "blk_write_time float8, session_time float8, active_time float8, idle_in_transaction_time "
     "float8, sessions int8, sessions_abandoned int8, sessions_fatal int8, sessions_killed int8, "
     "stats_reset timestamptz"},
    {12271, 'v', "pg_stat_database_conflicts",
     "datid oid, datname name, confl_tablespace int8, confl_lock int8, confl_snapshot int8, "
     "confl_bufferpin int8, confl_deadlock int8"},
    {12227, 'v', "pg_stat_replication",
     "pid int4, usesysid oid, usename name, application_name text, client_addr text, "
     "client_hostname text, client_port int4, backend_start timestamptz, backend_xmin oid, state "
     "text, sent_lsn text, write_lsn text, flush_lsn text, replay_lsn text, write_lag interval, "
     "flush_lag interval, replay_lag interval, sync_priority int4, sync_state text, reply_time "
     "timestamptz"},
    {12262, 'v', "pg_stat_replication_slots",
     "slot_name text, spill_txns int8, spill_count int8, spill_bytes int8, stream_txns int8, "
     "stream_count int8, stream_bytes int8, total_txns int8, total_bytes int8, stats_reset "
     "timestamptz"},
    {12244, 'v', "pg_stat_subscription",
     "subid oid, subname name, pid int4, relid oid, received_lsn text, last_msg_send_time "
     "timestamptz, last_msg_receipt_time timestamptz, latest_end_lsn text, latest_end_time "
     "timestamptz"},
    {12336, 'v', "pg_stat_subscription_stats",
     "subid oid, subname name, apply_error_count int8, sync_error_count int8, stats_reset "
     "timestamptz"},
    {12188, 'v', "pg_stat_sys_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan "
     "int8, idx_tup_read int8, idx_tup_fetch int8"},
    {12152, 'v', "pg_stat_sys_tables",
     "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, "
     "idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, "
     "n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, n_ins_since_vacuum int8, "
     "last_vacuum timestamptz, last_autovacuum timestamptz, last_analyze timestamptz, "
     "last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count int8, analyze_count "
     "int8, autoanalyze_count int8"},
    {12275, 'v', "pg_stat_user_functions",
     "funcid oid, schemaname name, funcname name, calls int8, total_time float8, self_time float8"},
    {12192, 'v', "pg_stat_user_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan "
     "int8, idx_tup_read int8, idx_tup_fetch int8"},
    {12161, 'v', "pg_stat_user_tables",
     "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan int8, "
     "idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, n_tup_hot_upd int8, "
     "n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, n_ins_since_vacuum int8, "
     "last_vacuum timestamptz, last_autovacuum timestamptz, last_analyze timestamptz, "
     "last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count int8, analyze_count "
     "int8, autoanalyze_count int8"},
    {12196, 'v', "pg_statio_all_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_blks_read "
     "int8, idx_blks_hit int8"},
    {12209, 'v', "pg_statio_all_sequences",
     "relid oid, schemaname name, relname name, blks_read int8, blks_hit int8"},
    {12170, 'v', "pg_statio_all_tables",
     "relid oid, schemaname name, relname name, heap_blks_read int8, heap_blks_hit int8, "
     "idx_blks_read int8, idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, "
     "tidx_blks_read int8, tidx_blks_hit int8"},
    {12201, 'v', "pg_statio_sys_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_blks_read "
     "int8, idx_blks_hit int8"},
    {12214, 'v', "pg_statio_sys_sequences",
     "relid oid, schemaname name, relname name, blks_read int8, blks_hit int8"},
    {12175, 'v', "pg_statio_sys_tables",
     "relid oid, schemaname name, relname name, heap_blks_read int8, heap_blks_hit int8, "
     "idx_blks_read int8, idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, "
     "tidx_blks_read int8, tidx_blks_hit int8"},
    {12205, 'v', "pg_statio_user_indexes",
     "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_blks_read "
     "int8, idx_blks_hit int8"},
    {12218, 'v', "pg_statio_user_sequences",
     "relid oid, schemaname name, relname name, blks_read int8, blks_hit int8"},
    {12179, 'v', "pg_statio_user_tables",
     "relid oid, schemaname name, relname name, heap_blks_read int8, heap_blks_hit int8, "
     "idx_blks_read int8, idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, "
     "tidx_blks_read int8, tidx_blks_hit int8"},
    {2619, 'r', "pg_statistic",
     "starelid oid!, staattnum int2!, stainherit bool!, stanullfrac float4!, stawidth int4!, "
     "stadistinct float4!, stakind1 int2!, stakind2 int2!, stakind3 int2!, stakind4 int2!, "
     "stakind5 int2!, staop1 oid!, staop2 oid!, staop3 oid!, staop4 oid!, staop5 oid!, stacoll1 "
     "oid!, stacoll2 oid!, stacoll3 oid!, stacoll4 oid!, stacoll5 oid!, stanumbers1 _float4, "
     "stanumbers2 _float4, stanumbers3 _float4, stanumbers4 _float4, stanumbers5 _float4, "
     "stavalues1 text, stavalues2 text, stavalues3 text, stavalues4 text, stavalues5 text"},
    {3381, 'r', "pg_statistic_ext",
     "oid oid!, stxrelid oid!, stxname name!, stxnamespace oid!, stxowner oid!, stxstattarget "
     "int4!, stxkeys int2vector!, stxkind _char!, stxexprs text"},
    {3429, 'r', "pg_statistic_ext_data",
     "stxoid oid!, stxdinherit bool!, stxdndistinct text, stxddependencies text, stxdmcv text, "
     "stxdexpr _text"},
    {12053, 'v', "pg_stats",
     "schemaname name, tablename name, attname name, inherited bool, null_frac float4, avg_width "
     "int4, n_distinct float4, most_common_vals text, most_common_freqs _float4, "
     "histogram_bounds text, correlation float4, most_common_elems text, most_common_elem_freqs "
     "_float4, elem_count_histogram _float4"},
    {12058, 'v', "pg_stats_ext",
     "schemaname name, tablename name, statistics_schemaname name, statistics_name name, "
     "statistics_owner name, attnames _name, exprs _text, kinds _char, inherited bool, "
     "n_distinct text, dependencies text, most_common_vals _text, most_common_val_nulls _bool, "
     "most_common_freqs _float8, most_common_base_freqs _float8"},
    {12063, 'v', "pg_stats_ext_exprs",
     "schemaname name, tablename name, statistics_schemaname name, statistics_name name, "
     "statistics_owner name, expr text, inherited bool, null_frac float4, avg_width int4, "
     "n_distinct float4, most_common_vals text, most_common_freqs _float4, histogram_bounds "
     "text, correlation float4, most_common_elems text, most_common_elem_freqs _float4, "
     "elem_count_histogram _float4"},
    {6100, 'r', "pg_subscription",
     "oid oid!, subdbid oid!, subskiplsn text!, subname name!, subowner oid!, subenabled bool!, "
     "subbinary bool!, substream bool!, subtwophasestate char!, subdisableonerr bool!, "
     "subconninfo text!, subslotname name, subsynccommit text!, subpublications _text!"},
    {6102, 'r', "pg_subscription_rel",
     "srsubid oid!, srrelid oid!, srsubstate char!, srsublsn text"},
    {12033, 'v', "pg_tables",
     "schemaname name, tablename name, tableowner name, tablespace name, hasindexes bool, "
     "hasrules bool, hastriggers bool, rowsecurity bool"},
    {1213, 'r', "pg_tablespace",
     "oid oid!, spcname name!, spcowner oid!, spcacl _text, spcoptions _text"},
    {12122, 'v', "pg_timezone_abbrevs",
     "abbrev text, utc_offset interval, is_dst bool"},
    {12126, 'v', "pg_timezone_names",
     "name text, abbrev text, utc_offset interval, is_dst bool"},
    {3576, 'r', "pg_transform",
     "oid oid!, trftype oid!, trflang oid!, trffromsql regproc!, trftosql regproc!"},
    {2620, 'r', "pg_trigger",
     "oid oid!, tgrelid oid!, tgparentid oid!, tgname name!, tgfoid oid!, tgtype int2!, "
     "tgenabled char!, tgisinternal bool!, tgconstrrelid oid!, tgconstrindid oid!, tgconstraint "
     "oid!, tgdeferrable bool!, tginitdeferred bool!, tgnargs int2!, tgattr int2vector!, tgargs "
     "bytea!, tgqual text, tgoldtable name, tgnewtable name"},
    {3602, 'r', "pg_ts_config",
     "oid oid!, cfgname name!, cfgnamespace oid!, cfgowner oid!, cfgparser oid!"},
    {3603, 'r', "pg_ts_config_map",
     "mapcfg oid!, maptokentype int4!, mapseqno int4!, mapdict oid!"},
    {3600, 'r', "pg_ts_dict",
     "oid oid!, dictname name!, dictnamespace oid!, dictowner oid!, dicttemplate oid!, "
     "dictinitoption text"},
    {3601, 'r', "pg_ts_parser",
     "oid oid!, prsname name!, prsnamespace oid!, prsstart regproc!, prstoken regproc!, prsend "
     "regproc!, prsheadline regproc!, prslextype regproc!"},
    {3764, 'r', "pg_ts_template",
     "oid oid!, tmplname name!, tmplnamespace oid!, tmplinit regproc!, tmpllexize regproc!"},
    {1247, 'r', "pg_type",
     "oid oid!, typname name!, typnamespace oid!, typowner oid!, typlen int2!, typbyval bool!, "
     "typtype char!, typcategory char!, typispreferred bool!, typisdefined bool!, typdelim "
     "char!, typrelid oid!, typsubscript regproc!, typelem oid!, typarray oid!, typinput "
     "regproc!, typoutput regproc!, typreceive regproc!, typsend regproc!, typmodin regproc!, "
     "typmodout regproc!, typanalyze regproc!, typalign char!, typstorage char!, typnotnull "
     "bool!, typbasetype oid!, typtypmod int4!, typndims int4!, typcollation oid!, typdefaultbin "
     "text, typdefault text, typacl _text"},
    {12014, 'v', "pg_user",
     "usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls "
     "bool, passwd text, valuntil timestamptz, useconfig _text"},
    {1418, 'r', "pg_user_mapping",
     "oid oid!, umuser oid!, umserver oid!, umoptions _text"},
    {12327, 'v', "pg_user_mappings",
     "umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions _text"},
    {12028, 'v', "pg_views",
     "schemaname name, viewname name, viewowner name, definition text"},
};

}  // namespace

std::span<const RelationSpec> PgCatalogRelations2() { return kRows; }

}  // namespace orrery::sql
