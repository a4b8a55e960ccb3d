using FineTuneStudio.Engine.Quality;

namespace FineTuneStudio.Datasets;

/// What DataRow.TextKey holds: equal for rows whose texts are the same once normalised.
public static class TextKey
{
    public static string Of(string text) => TextNormalization.Hash128(text).ToString("x32");
}
