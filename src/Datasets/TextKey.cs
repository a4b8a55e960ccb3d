using System.Security.Cryptography;
using System.Text;

namespace FineTuneStudio.Datasets;

/// The key by which exact duplicates are found: compatibility forms made equal (NFKC), case folded, white space collapsed and trimmed, hashed.
public static class TextKey
{
    public static string Of(string text)
    {
        var normal = new StringBuilder(text.Length);
        foreach (var c in text.Normalize(NormalizationForm.FormKC).ToUpperInvariant().ToLowerInvariant())
            if (!char.IsWhiteSpace(c)) normal.Append(c);
            else if (normal.Length > 0 && normal[^1] != ' ') normal.Append(' ');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(normal.ToString().TrimEnd(' '))).AsSpan(0, 16));
    }
}
