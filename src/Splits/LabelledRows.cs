using System.Security.Cryptography;
using System.Text;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace FineTuneStudio.Splits;

/// What dividing needs of a version: its labelled rows in row order, without their texts.
internal sealed record LabelledRows(StratifiedSplit.Row[] Rows, string[] Labels, int Unlabelled)
{
    internal static async Task<LabelledRows> Read(StudioDb db, int versionId, CancellationToken cancel)
    {
        await db.Database.OpenConnectionAsync(cancel);
        using var command = ((SqliteConnection)db.Database.GetDbConnection()).CreateCommand();
        command.CommandText = """SELECT v."RowId", r."TextKey", v."Label" FROM "VersionRows" v JOIN "Rows" r ON r."Id" = v."RowId" WHERE v."VersionId" = $version ORDER BY v."RowId" """;
        command.Parameters.AddWithValue("$version", versionId);
        var rows = new List<StratifiedSplit.Row>();
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        var unlabelled = 0;
        Span<byte> hash = stackalloc byte[32];
        using (var reader = command.ExecuteReader())
            while (reader.Read())
            {
                if (rows.Count % 4096 == 0) cancel.ThrowIfCancellationRequested();
                if (reader.IsDBNull(2)) { unlabelled++; continue; }
                var name = reader.GetString(2);
                if (!seen.TryGetValue(name, out var label)) seen.Add(name, label = seen.Count);
                // 128 bits of a hash instead of the key itself: sixteen bytes a row, whatever the key is.
                SHA256.HashData(Encoding.UTF8.GetBytes(reader.GetString(1)), hash);
                rows.Add(new(reader.GetInt64(0), new UInt128(BitConverter.ToUInt64(hash), BitConverter.ToUInt64(hash[8..])), label));
            }
        var labels = seen.Keys.Order(StringComparer.Ordinal).ToArray();
        var place = new int[labels.Length];
        for (var i = 0; i < labels.Length; i++) place[seen[labels[i]]] = i;
        return new([.. rows.Select(r => r with { Label = place[r.Label] })], labels, unlabelled);
    }
}
