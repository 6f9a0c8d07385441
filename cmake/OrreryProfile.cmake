# The release preset compiles what serves statements by a profile: which branches are taken and which calls are hot, as counted
# by GCC's instrumentation while a server did pgbench (`./dev train` makes release.tar.xz anew; docs/design/performance.md).
# The profile changes layout and inlining, never meaning; a function that has changed since is compiled as if there were none.
# ccache does not know all of these options and lets the compiler do such files each time.
# A profile makes GCC unroll, peel, duplicate and vectorise hot loops. Statements' loops are short and their code is long: what they wait
# for is the instruction cache, so code that is smaller is faster (docs/performance.md).
option(ORRERY_PROFILE "compile by cmake/profile/release.tar.xz" OFF)
option(ORRERY_TRAIN "count branches into <build folder>/profile, for a new cmake/profile/release.tar.xz" OFF)

# What one version of GCC has counted no other can read.
if(ORRERY_PROFILE AND NOT (CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\."))
  message(STATUS "compiled without the profile, which is GCC 12's")
  set(ORRERY_PROFILE OFF)
endif()
if(ORRERY_PROFILE)
  set(ORRERY_PROFILE_ARCHIVE ${CMAKE_SOURCE_DIR}/cmake/profile/release.tar.xz)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ORRERY_PROFILE_ARCHIVE})
  file(SHA256 ${ORRERY_PROFILE_ARCHIVE} ORRERY_PROFILE_HASH)
  string(SUBSTRING ${ORRERY_PROFILE_HASH} 0 12 ORRERY_PROFILE_HASH)
  set(ORRERY_PROFILE_DIR profile-${ORRERY_PROFILE_HASH})
  if(NOT EXISTS ${CMAKE_BINARY_DIR}/${ORRERY_PROFILE_DIR})
    file(ARCHIVE_EXTRACT INPUT ${ORRERY_PROFILE_ARCHIVE} DESTINATION ${CMAKE_BINARY_DIR}/${ORRERY_PROFILE_DIR})
  endif()
endif()

# Of a library: by the profile, if that knows anything of it.
function(orrery_use_profile target)
  if(ORRERY_TRAIN)
    target_compile_options(${target} PRIVATE -fprofile-generate=${CMAKE_BINARY_DIR}/profile
      -fprofile-prefix-path=${CMAKE_BINARY_DIR} -fprofile-update=prefer-atomic)
    target_link_options(${target} INTERFACE -fprofile-generate)
  elseif(ORRERY_PROFILE)
    file(RELATIVE_PATH folder ${CMAKE_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR})
    string(REPLACE "/" "#" folder ${folder})
    file(GLOB known ${CMAKE_BINARY_DIR}/${ORRERY_PROFILE_DIR}/${folder}*)
    if(known)
      target_compile_options(${target} PRIVATE -fprofile-use=${ORRERY_PROFILE_DIR} -fprofile-prefix-path=${CMAKE_BINARY_DIR}
        -fprofile-correction -fprofile-partial-training -Wno-missing-profile -Wno-coverage-mismatch
        -fno-unroll-loops -fno-peel-loops -fno-tracer -fno-unswitch-loops -fno-split-loops -fno-tree-loop-vectorize
        -fno-tree-slp-vectorize -fno-ipa-cp-clone -fno-align-loops -fno-align-jumps)
    endif()
  endif()
endfunction()
