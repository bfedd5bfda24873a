// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/inflater.h"

#include <zlib.h>

#include <algorithm>

namespace ql {

struct Inflater::State {
    std::span<const std::byte> input;
    z_stream stream{};
    std::size_t taken = 0;
    bool ready = false;
    bool ended = false;
    bool finished = false;
};

Inflater::Inflater(std::span<const std::byte> input, Format format) : m_state(std::make_unique<State>())
{
    m_state->input = input;
    m_state->ready = ::inflateInit2(&m_state->stream, format == Format::raw ? -MAX_WBITS : MAX_WBITS) == Z_OK;
}

Inflater::~Inflater()
{
    if (m_state->ready)
        ::inflateEnd(&m_state->stream);
}

std::size_t Inflater::read(std::span<std::byte> out)
{
    State& s = *m_state;
    std::size_t done = 0;
    while (s.ready && !s.ended && done < out.size()) {
        constexpr std::size_t kMax = std::size_t{1} << 30U;
        const std::size_t given = std::min(s.input.size() - s.taken, kMax);
        const std::size_t room = std::min(out.size() - done, kMax);
        s.stream.next_in =
            const_cast<Bytef*>(reinterpret_cast<const Bytef*>(s.input.data() + s.taken)); // zlib lacks the const
        s.stream.avail_in = static_cast<uInt>(given);
        s.stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
        s.stream.avail_out = static_cast<uInt>(room);
        const int status = ::inflate(&s.stream, Z_NO_FLUSH);
        s.taken += given - s.stream.avail_in;
        done += room - s.stream.avail_out;
        s.ended = status != Z_OK;
        s.finished = status == Z_STREAM_END;
    }
    return done;
}

bool Inflater::exhausted()
{
    std::byte more{};
    return read(std::span(&more, 1)) == 0;
}

bool Inflater::finished() const
{
    return m_state->finished;
}

} // namespace ql
