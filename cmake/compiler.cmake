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
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QL_CCACHE})
endif()
