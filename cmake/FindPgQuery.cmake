# libpg_query and the PostgreSQL 15 server headers its raw parse tree is made of. Debian ships no config.
# Targets: PgQuery::pg_query (library), PgQuery::server_headers (include folder, for the one adapter file).
find_path(PgQuery_INCLUDE_DIR pg_query.h)
find_library(PgQuery_LIBRARY NAMES libpg_query.a pg_query)
find_path(PgQuery_SERVER_INCLUDE_DIR nodes/parsenodes.h PATH_SUFFIXES postgresql/15/server)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PgQuery REQUIRED_VARS PgQuery_LIBRARY PgQuery_INCLUDE_DIR PgQuery_SERVER_INCLUDE_DIR)
if(PgQuery_FOUND AND NOT TARGET PgQuery::pg_query)
  add_library(PgQuery::pg_query UNKNOWN IMPORTED)
  set_target_properties(PgQuery::pg_query PROPERTIES IMPORTED_LOCATION ${PgQuery_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${PgQuery_INCLUDE_DIR})
  add_library(PgQuery::server_headers INTERFACE IMPORTED)
  set_target_properties(PgQuery::server_headers PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES ${PgQuery_SERVER_INCLUDE_DIR})
endif()
