// Written by tools/generate_system_catalogs.py from PostgreSQL 15: columns of pg_catalog, first half.
#include "sql/catalog/virtual_tables.h"

namespace orrery::sql {
namespace {

constexpr RelationSpec kRows[] = {
    {2600, 'r', "pg_aggregate",
     "aggfnoid regproc!, aggkind char!, aggnumdirectargs int2!, aggtransfn regproc!, aggfinalfn "
     "regproc!, aggcombinefn regproc!, aggserialfn regproc!, aggdeserialfn regproc!, aggmtransfn "
     "regproc!, aggminvtransfn regproc!, aggmfinalfn regproc!, aggfinalextra bool!, "
     "aggmfinalextra bool!, aggfinalmodify char!, aggmfinalmodify char!, aggsortop oid!, "
     "aggtranstype oid!, aggtransspace int4!, aggmtranstype oid!, aggmtransspace int4!, "
     "agginitval text, aggminitval text"},
    {2601, 'r', "pg_am",
     "oid oid!, amname name!, amhandler regproc!, amtype char!"},
    {2602, 'r', "pg_amop",
     "oid oid!, amopfamily oid!, amoplefttype oid!, amoprighttype oid!, amopstrategy int2!, "
     "amoppurpose char!, amopopr oid!, amopmethod oid!, amopsortfamily oid!"},
    {2603, 'r', "pg_amproc",
     "oid oid!, amprocfamily oid!, amproclefttype oid!, amprocrighttype oid!, amprocnum int2!, "
     "amproc regproc!"},
    {2604, 'r', "pg_attrdef",
     "oid oid!, adrelid oid!, adnum int2!, adbin text!"},
    {1249, 'r', "pg_attribute",
     "attrelid oid!, attname name!, atttypid oid!, attstattarget int4!, attlen int2!, attnum "
     "int2!, attndims int4!, attcacheoff int4!, atttypmod int4!, attbyval bool!, attalign char!, "
     "attstorage char!, attcompression char!, attnotnull bool!, atthasdef bool!, atthasmissing "
     "bool!, attidentity char!, attgenerated char!, attisdropped bool!, attislocal bool!, "
     "attinhcount int4!, attcollation oid!, attacl _text, attoptions _text, attfdwoptions _text, "
     "attmissingval text"},
    {1261, 'r', "pg_auth_members",
     "roleid oid!, member oid!, grantor oid!, admin_option bool!"},
    {1260, 'r', "pg_authid",
     "oid oid!, rolname name!, rolsuper bool!, rolinherit bool!, rolcreaterole bool!, "
     "rolcreatedb bool!, rolcanlogin bool!, rolreplication bool!, rolbypassrls bool!, "
     "rolconnlimit int4!, rolpassword text, rolvaliduntil timestamptz"},
    {12085, 'v', "pg_available_extension_versions",
     "name name, version text, installed bool, superuser bool, trusted bool, relocatable bool, "
     "schema name, requires _name, comment text"},
    {12081, 'v', "pg_available_extensions",
     "name name, default_version text, installed_version text, comment text"},
    {2605, 'r', "pg_cast",
     "oid oid!, castsource oid!, casttarget oid!, castfunc oid!, castcontext char!, castmethod "
     "char!"},
    {1259, 'r', "pg_class",
     "oid oid!, relname name!, relnamespace oid!, reltype oid!, reloftype oid!, relowner oid!, "
     "relam oid!, relfilenode oid!, reltablespace oid!, relpages int4!, reltuples float4!, "
     "relallvisible int4!, reltoastrelid oid!, relhasindex bool!, relisshared bool!, "
     "relpersistence char!, relkind char!, relnatts int2!, relchecks int2!, relhasrules bool!, "
     "relhastriggers bool!, relhassubclass bool!, relrowsecurity bool!, relforcerowsecurity "
     "bool!, relispopulated bool!, relreplident char!, relispartition bool!, relrewrite oid!, "
     "relfrozenxid oid!, relminmxid oid!, relacl _text, reloptions _text, relpartbound text"},
    {3456, 'r', "pg_collation",
     "oid oid!, collname name!, collnamespace oid!, collowner oid!, collprovider char!, "
     "collisdeterministic bool!, collencoding int4!, collcollate text, collctype text, "
     "colliculocale text, collversion text"},
    {12130, 'v', "pg_config",
     "name text, setting text"},
    {2606, 'r', "pg_constraint",
     "oid oid!, conname name!, connamespace oid!, contype char!, condeferrable bool!, "
     "condeferred bool!, convalidated bool!, conrelid oid!, contypid oid!, conindid oid!, "
     "conparentid oid!, confrelid oid!, confupdtype char!, confdeltype char!, confmatchtype "
     "char!, conislocal bool!, coninhcount int4!, connoinherit bool!, conkey _int2, confkey "
     "_int2, conpfeqop _oid, conppeqop _oid, conffeqop _oid, confdelsetcols _int2, conexclop "
     "_oid, conbin text"},
    {2607, 'r', "pg_conversion",
     "oid oid!, conname name!, connamespace oid!, conowner oid!, conforencoding int4!, "
     "contoencoding int4!, conproc regproc!, condefault bool!"},
    {12077, 'v', "pg_cursors",
     "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, "
     "creation_time timestamptz"},
    {1262, 'r', "pg_database",
     "oid oid!, datname name!, datdba oid!, encoding int4!, datlocprovider char!, datistemplate "
     "bool!, datallowconn bool!, datconnlimit int4!, datfrozenxid oid!, datminmxid oid!, "
     "dattablespace oid!, datcollate text!, datctype text!, daticulocale text, datcollversion "
     "text, datacl _text"},
    {2964, 'r', "pg_db_role_setting",
     "setdatabase oid!, setrole oid!, setconfig _text"},
    {826, 'r', "pg_default_acl",
     "oid oid!, defaclrole oid!, defaclnamespace oid!, defaclobjtype char!, defaclacl _text!"},
    {2608, 'r', "pg_depend",
     "classid oid!, objid oid!, objsubid int4!, refclassid oid!, refobjid oid!, refobjsubid "
     "int4!, deptype char!"},
    {2609, 'r', "pg_description",
     "objoid oid!, classoid oid!, objsubid int4!, description text!"},
    {3501, 'r', "pg_enum",
     "oid oid!, enumtypid oid!, enumsortorder float4!, enumlabel name!"},
    {3466, 'r', "pg_event_trigger",
     "oid oid!, evtname name!, evtevent name!, evtowner oid!, evtfoid oid!, evtenabled char!, "
     "evttags _text"},
    {3079, 'r', "pg_extension",
     "oid oid!, extname name!, extowner oid!, extnamespace oid!, extrelocatable bool!, "
     "extversion text!, extconfig _oid, extcondition _text"},
    {12110, 'v', "pg_file_settings",
     "sourcefile text, sourceline int4, seqno int4, name text, setting text, applied bool, error "
     "text"},
    {2328, 'r', "pg_foreign_data_wrapper",
     "oid oid!, fdwname name!, fdwowner oid!, fdwhandler oid!, fdwvalidator oid!, fdwacl _text, "
     "fdwoptions _text"},
    {1417, 'r', "pg_foreign_server",
     "oid oid!, srvname name!, srvowner oid!, srvfdw oid!, srvtype text, srvversion text, srvacl "
     "_text, srvoptions _text"},
    {3118, 'r', "pg_foreign_table",
     "ftrelid oid!, ftserver oid!, ftoptions _text"},
    {12010, 'v', "pg_group",
     "groname name, grosysid oid, grolist _oid"},
    {12114, 'v', "pg_hba_file_rules",
     "line_number int4, type text, database _text, user_name _text, address text, netmask text, "
     "auth_method text, options _text, error text"},
    {12118, 'v', "pg_ident_file_mappings",
     "line_number int4, map_name text, sys_name text, pg_username text, error text"},
    {2610, 'r', "pg_index",
     "indexrelid oid!, indrelid oid!, indnatts int2!, indnkeyatts int2!, indisunique bool!, "
     "indnullsnotdistinct bool!, indisprimary bool!, indisexclusion bool!, indimmediate bool!, "
     "indisclustered bool!, indisvalid bool!, indcheckxmin bool!, indisready bool!, indislive "
     "bool!, indisreplident bool!, indkey int2vector!, indcollation oidvector!, indclass "
     "oidvector!, indoption int2vector!, indexprs text, indpred text"},
    {12043, 'v', "pg_indexes",
     "schemaname name, tablename name, indexname name, tablespace name, indexdef text"},
    {2611, 'r', "pg_inherits",
     "inhrelid oid!, inhparent oid!, inhseqno int4!, inhdetachpending bool!"},
    {3394, 'r', "pg_init_privs",
     "objoid oid!, classoid oid!, objsubid int4!, privtype char!, initprivs _text!"},
    {2612, 'r', "pg_language",
     "oid oid!, lanname name!, lanowner oid!, lanispl bool!, lanpltrusted bool!, lanplcallfoid "
     "oid!, laninline oid!, lanvalidator oid!, lanacl _text"},
    {2613, 'r', "pg_largeobject",
     "loid oid!, pageno int4!, data bytea!"},
    {2995, 'r', "pg_largeobject_metadata",
     "oid oid!, lomowner oid!, lomacl _text"},
    {12073, 'v', "pg_locks",
     "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, "
     "transactionid oid, classid oid, objid oid, objsubid int2, virtualtransaction text, pid "
     "int4, mode text, granted bool, fastpath bool, waitstart timestamptz"},
    {12038, 'v', "pg_matviews",
     "schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, "
     "ispopulated bool, definition text"},
    {2615, 'r', "pg_namespace",
     "oid oid!, nspname name!, nspowner oid!, nspacl _text"},
    {2616, 'r', "pg_opclass",
     "oid oid!, opcmethod oid!, opcname name!, opcnamespace oid!, opcowner oid!, opcfamily oid!, "
     "opcintype oid!, opcdefault bool!, opckeytype oid!"},
    {2617, 'r', "pg_operator",
     "oid oid!, oprname name!, oprnamespace oid!, oprowner oid!, oprkind char!, oprcanmerge "
     "bool!, oprcanhash bool!, oprleft oid!, oprright oid!, oprresult oid!, oprcom oid!, "
     "oprnegate oid!, oprcode regproc!, oprrest regproc!, oprjoin regproc!"},
    {2753, 'r', "pg_opfamily",
     "oid oid!, opfmethod oid!, opfname name!, opfnamespace oid!, opfowner oid!"},
    {6243, 'r', "pg_parameter_acl",
     "oid oid!, parname text!, paracl _text"},
    {3350, 'r', "pg_partitioned_table",
     "partrelid oid!, partstrat char!, partnatts int2!, partdefid oid!, partattrs int2vector!, "
     "partclass oidvector!, partcollation oidvector!, partexprs text"},
    {12018, 'v', "pg_policies",
     "schemaname name, tablename name, policyname name, permissive text, roles _name, cmd text, "
     "qual text, with_check text"},
    {3256, 'r', "pg_policy",
     "oid oid!, polname name!, polrelid oid!, polcmd char!, polpermissive bool!, polroles _oid!, "
     "polqual text, polwithcheck text"},
};

}  // namespace

std::span<const RelationSpec> PgCatalogRelations1() { return kRows; }

}  // namespace orrery::sql
