using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace FineTuneStudio.Datasets;

/// The content hash of a dataset version: SHA-256 over row id, text, attributes and label of each row in order, every part with its length.
public sealed class VersionHash : IDisposable
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public void Append(long rowId, string text, string? attributesJson, string? label)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(number, rowId);
        hash.AppendData(number);
        foreach (var part in (ReadOnlySpan<string?>)[text, attributesJson, label])
        {
            var bytes = part is null ? null : Encoding.UTF8.GetBytes(part);
            BinaryPrimitives.WriteInt64LittleEndian(number, bytes?.Length ?? -1);
            hash.AppendData(number);
            if (bytes is not null) hash.AppendData(bytes);
        }
    }

    /// Lower-case hex; the hash starts anew.
    public string Finish() => Convert.ToHexStringLower(hash.GetHashAndReset());

    public void Dispose() => hash.Dispose();
}
