# Flags of our own targets. Warnings become errors only where CI is set, so that a newer compiler never stops a user.
set(QL_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")

add_library(ql_flags INTERFACE)
target_compile_options(ql_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor -Wdouble-promotion -Woverloaded-virtual
  -ffp-contract=off          # a*b+c is rounded twice everywhere: rounding is this program's subject
  -fno-math-errno)
target_compile_definitions(ql_flags INTERFACE QT_NO_KEYWORDS QT_NO_CAST_FROM_ASCII QT_NO_CAST_TO_ASCII QT_NO_FOREACH QT_DISABLE_DEPRECATED_BEFORE=0x060400)
if(DEFINED ENV{CI})
  target_compile_options(ql_flags INTERFACE -Werror)
endif()
if(QL_SANITIZE)
  # -O1: two thirds of -O2's time to compile, which is most of the time of a run.
  add_compile_options(-O1 -fsanitize=${QL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${QL_SANITIZE})
endif()
add_link_options(-Wl,--as-needed)

find_program(QL_CCACHE ccache)
if(QL_CCACHE)
  # What it takes to keep results of files with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${QL_CCACHE})
endif()

# Headers that most files of a target include are parsed once for all of them: a fifth of the time to build. Files include what they
# use all the same: the preset `dev` builds without.
option(QL_PRECOMPILE "Parse the headers of the standard library and of Qt once for each target" ON)
set(QL_COMMON_HEADERS <algorithm> <array> <bit> <cmath> <cstdint> <cstring> <filesystem> <functional> <limits> <map> <memory> <mutex>
  <numeric> <optional> <set> <span> <string> <string_view> <utility> <vector>)

# GCC 12 sees errors in std::string's own copying (its bug 105651), and forgets that precompiled headers are the system's.
set(QL_PRECOMPILED_FLAGS -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)

# ql_precompile(TARGET [header...])  the common headers and these
function(ql_precompile target)
  if(QL_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${QL_COMMON_HEADERS} ${ARGN})
    target_compile_options(${target} PRIVATE ${QL_PRECOMPILED_FLAGS})
  endif()
endfunction()
