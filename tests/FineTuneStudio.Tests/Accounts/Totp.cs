using System.Buffers.Binary;
using System.Security.Cryptography;

namespace FineTuneStudio.Tests.Accounts;

/// What an authenticator app computes from the key it was given: RFC 6238 with SHA-1, 30 seconds, six digits.
public static class Totp
{
    public static string Code(string key, DateTimeOffset at)
    {
        var counter = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(counter, at.ToUnixTimeSeconds() / 30);
        var hash = HMACSHA1.HashData(FromBase32(key), counter);
        var offset = hash[^1] & 15;
        return ((BinaryPrimitives.ReadUInt32BigEndian(hash.AsSpan(offset)) & 0x7fffffff) % 1_000_000).ToString("000000");
    }

    private static byte[] FromBase32(string key)
    {
        var bytes = new List<byte>();
        int bits = 0, held = 0;
        foreach (var c in key.Where(char.IsAsciiLetterOrDigit))
        {
            held = held << 5 | "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".IndexOf(char.ToUpperInvariant(c));
            if ((bits += 5) < 8) continue;
            bytes.Add((byte)(held >> (bits -= 8)));
            held &= (1 << bits) - 1;
        }
        return [.. bytes];
    }
}
