# A folder's sources, and what its `.def` list adds: a line `READER(gguf)` in readers.def compiles gguf.cpp and, read again by
# the folder's registry source, lists it. So one file and one line add a format, a reader, a target, a command or a panel.

# ql_sources(TARGET file...)                  files of the calling folder
# ql_registry(TARGET list.def [SUFFIX text])  one NAME<text>.cpp for each line MACRO(NAME) of the list
function(ql_sources target)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  target_sources(${target} PRIVATE ${ARGN})
endfunction()

function(ql_registry target list)
  cmake_parse_arguments(arg "" "SUFFIX" "" ${ARGN})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${list})
  file(STRINGS ${list} lines REGEX "^[A-Z_]+\\([a-z0-9_]+\\)")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[A-Z_]+\\(([a-z0-9_]+)\\).*" "\\1" name "${line}")
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/${name}${arg_SUFFIX}.cpp)
  endforeach()
endfunction()
