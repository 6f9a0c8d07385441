# One folder, one library; its links are the arrows of docs/design/architecture.md.

set(ORRERY_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers)

# orrery_library(NAME DEPS other_layer... [LIBS third::party...] [SOURCES ...])
# Sources default to every .cc file of the folder. NAME is the folder with '/' replaced by '_'.
function(orrery_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;SOURCES" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  endif()
  set(target orrery_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/include PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE ${ORRERY_WARNINGS})
  orrery_use_profile(${target})
  list(TRANSFORM ARG_DEPS PREPEND orrery_)
  target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_LIBS})
endfunction()

# orrery_test(NAME DEPS layers...): every *_test.cc of the folder becomes one GoogleTest program, one ctest
# entry a test program. Private headers of the tested layer are visible.
function(orrery_test name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;SOURCES" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  endif()
  set(target ${name}_test)
  add_executable(${target} ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_compile_options(${target} PRIVATE ${ORRERY_WARNINGS})
  target_compile_definitions(${target} PRIVATE ORRERY_TESTDATA="${CMAKE_CURRENT_SOURCE_DIR}/testdata")
  list(TRANSFORM ARG_DEPS PREPEND orrery_)
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} ${ARG_LIBS} orrery_test_support GTest::gtest GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${target})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
