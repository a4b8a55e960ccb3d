using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>How a loss over many elements becomes one result.</summary>
        public enum Reduction { None = 0, Mean = 1, Sum = 2 }

        public static partial class functional
        {
            /// <summary>input (..., in) times weights (out, in) transposed, plus bias (out): (..., out).</summary>
            public static Tensor linear(Tensor input, Tensor weights, Tensor? bias = null) => Call(Ops.linear, input, weights, bias);

            /// <summary>Zeroes elements with probability p and scales the rest by 1/(1-p), in training only (Srivastava et al. 2014).</summary>
            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false) =>
                Call(inplace ? Ops.dropout_ : Ops.dropout, input, p, training);

            /// <summary>Normalises over the last dimensions, whose sizes are <paramref name="normalized_shape"/> (Ba et al. 2016).</summary>
            public static Tensor layer_norm(Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05) =>
                Call(Ops.layer_norm, input, normalized_shape, weight, bias, eps);

            /// <summary>x times the normal distribution function at x (Hendrycks and Gimpel 2016), exact.</summary>
            public static Tensor gelu(Tensor x) => Call(Ops.gelu, x);

            public static Tensor gelu(Tensor x, bool inplace) => Call(inplace ? Ops.gelu_ : Ops.gelu, x);

            public static Tensor gelu(Tensor x, Modules.GELU.Approximate approximate, bool inplace = false) =>
                Call(inplace ? Ops.gelu_ : Ops.gelu, x, approximate.ToString());

            public static Tensor relu(Tensor x, bool inplace = false) => Call(inplace ? Ops.relu_ : Ops.relu, x);
            public static Tensor silu(Tensor x, bool inplace = false) => Call(inplace ? Ops.silu_ : Ops.silu, x);
            public static Tensor tanh(Tensor x, bool inplace = false) => Call(inplace ? Ops.tanh_ : Ops.tanh, x);
            public static Tensor sigmoid(Tensor x) => Call(Ops.sigmoid, x);
            public static Tensor sigmoid(Tensor x, bool inplace) => Call(inplace ? Ops.sigmoid_ : Ops.sigmoid, x);
            public static Tensor leaky_relu(Tensor input, double negative_slope = 0.01, bool inplace = false) => Call(inplace ? Ops.leaky_relu_ : Ops.leaky_relu, input, negative_slope);
            public static Tensor logsigmoid(Tensor x) => Call(Ops.log_sigmoid, x);

            public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => input.softmax(dim, dtype);
            public static Tensor log_softmax(Tensor x, long dim) => x.log_softmax(dim);

            /// <summary>Int64 labels (...) to 0/1 rows (..., num_classes).</summary>
            public static Tensor one_hot(Tensor x, long num_classes = -1) => Call(Ops.one_hot, x, num_classes);

            /// <summary>input divided by its p-norm along a dimension, the norm at least eps.</summary>
            public static Tensor normalize(Tensor input, double p = 2, long dim = 1, double eps = 1e-12)
            {
                using var norm = Call(Ops.linalg_vector_norm, input, p, (long[])[dim], true);
                using var floored = Call(Ops.clamp_min, norm, eps);
                return input / floored;
            }

            /// <summary>Cosine of the angle between x1 and x2 along a dimension.</summary>
            public static Tensor cosine_similarity(Tensor x1, Tensor x2, long dim = 1, double eps = 1e-08) => Call(Ops.cosine_similarity, x1, x2, dim, eps);

            /// <summary>softmax(query key^T / sqrt(width) + mask) value over (batch, heads, length, width); a Bool mask keeps where it is true (Vaswani et al. 2017).</summary>
            public static Tensor scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask = null, double p = 0, bool is_casual = false)
            {
                if (Ops.scaled_dot_product_attention.Exists) return Call(Ops.scaled_dot_product_attention, query, key, value, attn_mask, p, is_casual);
                using var scope = NewDisposeScope();
                var scores = query.matmul(key.transpose(-2, -1)) / Math.Sqrt(query.size(-1));
                if (is_casual)
                {
                    var later = ones(query.size(-2), key.size(-2), ScalarType.Bool, query.device).triu(1);
                    scores = scores.masked_fill(later, double.NegativeInfinity);
                }
                if (attn_mask is not null)
                    scores = attn_mask.dtype == ScalarType.Bool ? scores.masked_fill(attn_mask.logical_not(), double.NegativeInfinity) : scores + attn_mask;
                return scope.MoveToOuter(dropout(scores.softmax(-1), p, p > 0).matmul(value));
            }

            /// <summary>
            /// Negative log-likelihood of the softmax: input (rows, classes, ...) of raw scores, target (rows, ...) Int64
            /// classes or (rows, classes, ...) probabilities. Rows with <paramref name="ignore_index"/> do not count.
            /// </summary>
            public static Tensor cross_entropy(Tensor input, Tensor target, Tensor? weight = null, long ignore_index = -100, Reduction reduction = Reduction.Mean, double label_smoothing = 0) =>
                Call(Ops.cross_entropy_loss, input, target, weight, (long)reduction, ignore_index, label_smoothing);

            /// <summary>The mean (sum) of -input[row, target[row]]: input holds log-probabilities.</summary>
            public static Tensor nll_loss(Tensor input, Tensor target, Tensor? weight = null, Reduction reduction = Reduction.Mean) =>
                Call(Ops.nll_loss, input, target, weight, (long)reduction);

            public static Tensor mse_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) => Call(Ops.mse_loss, input, target, (long)reduction);
            public static Tensor l1_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) => Call(Ops.l1_loss, input, target, (long)reduction);

            public static Tensor smooth_l1_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean, double beta = 1) =>
                Call(Ops.smooth_l1_loss, input, target, (long)reduction, beta);

            public static Tensor binary_cross_entropy(Tensor input, Tensor target, Tensor? weight = null, Reduction reduction = Reduction.Mean) =>
                Call(Ops.binary_cross_entropy, input, target, weight, (long)reduction);

            public static Tensor binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight = null, Reduction reduction = Reduction.Mean, Tensor? pos_weights = null) =>
                Call(Ops.binary_cross_entropy_with_logits, input, target, weight, pos_weights, (long)reduction);

            /// <summary>The divergence of input (log-probabilities) from target; log_target says that target is in logarithms too, the default here.</summary>
            public static Tensor kl_div(Tensor input, Tensor target, bool log_target = true, Reduction reduction = Reduction.Mean) =>
                Call(Ops.kl_div, input, target, (long)reduction, log_target);
        }
    }
}
